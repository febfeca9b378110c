export class RateService {
  of({ currency }, ctx) {
    if (currency === 'XXX') {
      throw new RangeError('no such currency: XXX');
    }
    return { rate: 2, by: ctx.bundle.version };
  }
}

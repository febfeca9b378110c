export class ShopService {
  async open() {
    return { hours: "always" };
  }
}

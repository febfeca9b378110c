export class ShopServices {
  async open() {
    return { hours: "always" };
  }
}

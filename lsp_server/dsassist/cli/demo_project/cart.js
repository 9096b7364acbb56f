// A shopping cart for the shop's page.

export class Cart {
  constructor() {
    this.lines = [];
  }

  add(name, priceCents, quantity = 1) {
    const line = this.lines.find((line) => line.name === name);
    if (line) {
      line.quantity += quantity;
    } else {
      this.lines.push({ name, priceCents, quantity });
    }
  }

  remove(name) {
    this.lines = this.lines.filter((line) => line.name !== name);
  }

  totalCents() {
    return this.lines.reduce((sum, line) => sum + line.priceCents * line.quantity, 0);
  }
}

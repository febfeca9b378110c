// Asks for a service that nobody has deployed.
export class GreeterService {
  async greet() {
    return { greeting: { text: "Hello", servedBy: "1.1.0", length: 5 } };
  }
}

// The bank, simulated: it says yes, after a while.
import { Problem } from "./problem";

/** Authorises a payment. Takes `delayMs`, as a bank would. */
export async function authorise(reference: string, cents: number, delayMs: number): Promise<void> {
  if (cents === 0) throw new Problem(409, "The cart is empty");
  console.info(`order ${reference}: asking the bank for ${cents} cents`);
  await new Promise((done) => setTimeout(done, delayMs));
}

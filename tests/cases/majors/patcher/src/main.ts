// Replaces built-ins, for everybody who shares its globals.
import type { Probe } from "isolith:schema/probe";

const isNative = (method: unknown) => /\[native code\]/.test(Function.prototype.toString.call(method));

Array.prototype.map = () => [-1];
JSON.parse = () => [-2];

export class ProbeService implements Probe.Server {
  async probe({ json }: Probe.ProbeParams): Promise<Probe.ProbeResultsInit> {
    const numbers: number[] = JSON.parse(json);
    return {
      report: {
        doubled: [...numbers, ...numbers.map((number) => 2 * number)],
        complaint: "none: it has no zod",
        nativeMap: isNative(Array.prototype.map),
        nativeParse: isNative(JSON.parse),
      },
    };
  }
}

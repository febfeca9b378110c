// Validates with its own zod.
import { z } from "zod";
import type { Probe } from "isolith:schema/probe";

const isNative = (method: unknown) => /\[native code\]/.test(Function.prototype.toString.call(method));

export class ProbeService implements Probe.Server {
  async probe({ json }: Probe.ProbeParams): Promise<Probe.ProbeResultsInit> {
    const numbers = z.array(z.number()).parse(JSON.parse(json));
    return {
      report: {
        doubled: numbers.map((number) => 2 * number),
        complaint: z.string().safeParse(1).error?.issues[0]?.message ?? "",
        nativeMap: isNative(Array.prototype.map),
        nativeParse: isNative(JSON.parse),
      },
    };
  }
}

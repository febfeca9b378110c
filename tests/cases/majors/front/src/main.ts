// Asks all three, the one that replaces built-ins first and again beside the others.
import type { Probe } from "isolith:schema/probe";

interface Env {
  PATCHER: Probe.Client;
  THREE: Probe.Client;
  FOUR: Probe.Client;
}

export default {
  async fetch(request: Request, { PATCHER, THREE, FOUR }: Env): Promise<Response> {
    const json = await request.text();
    const ask = async (service: Probe.Client) => (await service.probe({ json })).report.toObject();
    await ask(PATCHER);
    const [patcher, three, four] = await Promise.all([ask(PATCHER), ask(THREE), ask(FOUR)]);
    return Response.json({ patcher, three, four, own: JSON.parse(json).map((number: number) => 2 * number) });
  },
};

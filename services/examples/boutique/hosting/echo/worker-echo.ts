import { WorkerEntrypoint } from "cloudflare:workers";

export class EchoService extends WorkerEntrypoint {
  async echo(data: Uint8Array): Promise<Uint8Array> {
    return data;
  }
}

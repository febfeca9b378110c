import { WorkerEntrypoint } from "cloudflare:workers";
import type { Answer, Bytes, Token } from "../../../echo/caller/src/logic";
import { check } from "../../../echo/echo/src/logic";

export class EchoService extends WorkerEntrypoint {
  async check(params: Token): Promise<Answer> {
    return check(params);
  }

  async echo({ data }: Bytes): Promise<Bytes> {
    return { data };
  }
}

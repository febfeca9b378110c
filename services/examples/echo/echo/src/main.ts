import type { Echo } from "isolith:schema/echo";

export class EchoService implements Echo.Server {
  async echo({ data }: Echo.EchoParams) {
    return { data };
  }
}

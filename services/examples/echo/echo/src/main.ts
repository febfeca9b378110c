import type { Echo } from "isolith:schema/echo";
import { check } from "./logic";

export class EchoService implements Echo.Server {
  async check(params: Echo.CheckParams) {
    return check(params);
  }

  async echo({ data }: Echo.EchoParams) {
    return { data };
  }
}

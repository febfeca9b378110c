import { greet } from "./greet";

export default {
  fetch: () => new Response(greet()),
};

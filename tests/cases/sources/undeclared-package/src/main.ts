import { z } from "zod";

export default {
  fetch: () => Response.json(z.string().parse("text")),
};

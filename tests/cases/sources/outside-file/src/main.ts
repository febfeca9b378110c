import secret from "../../outside.json";

export default {
  fetch: () => Response.json(secret),
};

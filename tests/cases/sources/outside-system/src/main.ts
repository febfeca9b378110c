import users from "../../../../../../../../../etc/passwd" with { type: "text" };

export default {
  async fetch() {
    const { default: also } = await import("file:///etc/passwd");
    return Response.json({ users, also });
  },
};

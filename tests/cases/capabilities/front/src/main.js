let remembered = null;

const kindOf = (promise) => promise.then(() => "none", (error) => error.kind);

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/files") return new Response(env.AUTH.files().readable());
    const ada = env.AUTH.session({ token: "Ada" });
    const mine = { name: () => ({ name: "front itself" }), visit: () => ({ greeting: "none" }) };
    const stale = remembered === null ? "none" : await kindOf(remembered.name());
    const { user } = await ada.user();
    remembered = user;
    return Response.json({
      pipelined: (await ada.user().name()).name,
      stub: (await user.name()).name,
      same: user === (await ada.user()).user,
      callback: (await user.visit({ guest: mine })).greeting,
      early: (await user.visit({ guest: env.AUTH.session({ token: "Bob" }).user() })).greeting,
      stale,
    });
  },
};

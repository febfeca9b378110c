let remembered = null;

const kindOf = (promise) => promise.then(() => "none", (error) => error.kind);

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/push") {
      const { into } = await env.AUTH.store();
      const chunks = Number(searchParams.get("mib")) * 16;
      for (let i = 0; i < chunks; i++) await into.write({ bytes: new Uint8Array(65_536) });
      await into.end();
      return Response.json((await env.AUTH.stored()).bytes);
    }
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

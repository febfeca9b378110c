class User {
  constructor(label) {
    this.label = label;
  }
  name() {
    return { name: this.label };
  }
  async visit({ guest }) {
    const { name } = await guest.name();
    return { greeting: `${this.label} greets ${name}` };
  }
}

class Session {
  constructor(token) {
    this.owner = new User(token);
  }
  user() {
    return { user: this.owner };
  }
}

let stored = 0;

class Sink {
  write({ bytes }) {
    stored += bytes.length;
  }
  end() {}
}

export class AuthService {
  store() {
    stored = 0;
    return { into: new Sink() };
  }
  stored() {
    return { bytes: stored };
  }
  session({ token }) {
    return { session: new Session(token) };
  }
  files() {
    let left = 100;
    const source = new ReadableStream({
      pull(controller) {
        if (left-- === 0) return controller.close();
        controller.enqueue(new TextEncoder().encode(`${left}\n`.padStart(1000, ".")));
      },
    });
    return { source };
  }
}

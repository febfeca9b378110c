// An auth 2.1.0 that builds, and throws as soon as it is loaded: its key ring is empty.
const keys: string[] = [];

function newestKey(): string {
  const key = keys.at(-1);
  if (key === undefined) throw new Error("the key ring is empty");
  return key;
}

const key = newestKey();

export class AuthService {
  async seal() {
    return { sealed: key };
  }
}

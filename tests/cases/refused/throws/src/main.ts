// Throws while it is loaded.
function readSettings(): never {
  throw new Error("there are no settings");
}

readSettings();

export class GreeterService {}

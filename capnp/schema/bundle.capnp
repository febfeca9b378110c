@0xc3e9a1f0527d4b68;
# The bundle file: one built version of a service.
#
# A file is a canonical, single-segment message with root `Envelope`. Whoever loads a file
# builds the envelope's bytes again from its fields and refuses the file if they differ, so
# that every flipped bit is found, in the padding too.

struct Envelope {
  content @0 :Data;
  # A message of its own with root `Bundle`: canonical, single segment, with its segment table,
  # so that it is read in place.

  digest @1 :Data;
  # SHA-256 of `content`: 32 bytes. It names the bundle.

  signature @2 :Data;
  # Ed25519 signature of `digest`: 64 bytes; empty if the bundle is not signed.

  signer @3 :Data;
  # The public key that made `signature`: 32 bytes; empty if the bundle is not signed.
}

struct Bundle {
  formatVersion @0 :UInt16;
  # 1. A reader refuses what it does not know.

  service @1 :Text;
  version @2 :Text;
  # The service's name and its semver version, as the manifest gives them.

  http @3 :Bool;
  # The main module default-exports an object with the function `fetch`.

  modules @4 :List(Module);
  # The first one is the main module. There are none if `native` is set.

  exports @5 :List(Export);
  imports @6 :List(Import);
  vars @7 :List(Var);
  limits @8 :Limits;

  schema @9 :Data;
  # A CodeGeneratorRequest message: all schema files that the manifest names and what they
  # import, compiled. Empty if the bundle has no interface.

  dependencies @10 :List(Dependency);
  # The npm packages whose code was inlined into the modules, by name, then version.

  fetches @11 :List(Fetch);
  # Bindings for outbound requests.

  native @12 :Bool;
  # The service's code is part of the process that serves it, not of the bundle: there are no
  # modules, and of an export the class is empty.
}

struct Module {
  specifier @0 :Text;
  # What an import names it by, relative to the bundle: "main.js".

  source @1 :Text;
  # ECMAScript.

  sourceMap @2 :Text;
  # A source map, version 3, as JSON; empty if there is none.
}

struct Export {
  name @0 :Text;
  # As the manifest names it: "AUTH".

  interfaceId @1 :UInt64;
  # The interface's Cap'n Proto type id.

  className @2 :Text;
  # The class that the main module exports and that serves the interface.

  interfaceName @3 :Text;
  # For people: "schema/auth.capnp:Auth".
}

struct Import {
  name @0 :Text;
  # The property of `env` that holds the binding: "AUTH".

  service @1 :Text;
  # The service asked for.

  range @2 :Text;
  # Semver range that the service's version must satisfy: "^2.1".

  export @3 :Text;
  # The provider's export to bind to; empty: the one that has `interfaceId`.

  interfaceId @4 :UInt64;
  # The interface's Cap'n Proto type id.

  interfaceName @5 :Text;
  # For people: "schema/auth.capnp:Auth".
}

struct Fetch {
  name @0 :Text;
  # The property of `env` that holds the binding: "GEO".

  origins @1 :List(Text);
  # Where its requests may go: "https://api.example.com", "https://*.example.com:8443".
}

struct Var {
  name @0 :Text;
  # The property of `env` that holds the value, a string.

  union {
    required @1 :Void;
    # The application must give a value.

    default @2 :Text;
    # The value if the application gives none.

    secret @3 :Void;
    # The application must give a value, from where it keeps secrets.
  }
}

struct Limits {
  # 0 means that the manifest says nothing and the runtime's default holds.

  cpuMsPerRequest @0 :UInt32;
  # CPU time of one request inside this bundle, in milliseconds.

  heapMib @1 :UInt32;
  # The isolate's JavaScript heap, in MiB.
}

struct Dependency {
  name @0 :Text;
  version @1 :Text;
  # The npm package's name and exact version.

  integrity @2 :Text;
  # The lock file's integrity value, "sha512-...".
}

// Cap'n Proto messages: reading in place and building. The files of this folder are the parts of
// one function, `(function (host) { ...; return rt; })`, in this order: primordials, read, readers,
// build, any, values. Generated code (see the crate's `javascript` module) stands on `rt`.
//
// `host` gives what JavaScript cannot do, or not fast:
//   utf8Decode(u8, start, end) -> string        malformed bytes become U+FFFD
//   utf8Encode(string, u8, start) -> bytes written; lone surrogates become U+FFFD
//   seal(ArrayBuffer) -> ArrayBuffer            immutable, same backing store, detaches the
//                                               argument; an immutable one is returned as is
//   isImmutable(ArrayBuffer) -> boolean
//   capability(message, index, face) -> object       read.js, `readCapability`
//   addCapability(builder, value, face) -> index     build.js, `writeCapability`
//
// Invariants:
// - Built-ins are captured here, when the function runs, before any service's code. What a
//   service does to a prototype later is neither seen nor of effect.
// - Reads never write, and stay inside the message's own segments, whatever the bytes say.
// - No array buffer that holds other messages is ever given to a service: inline Data is copied.

const { utf8Decode, utf8Encode, seal, isImmutable } = host;
const { capability = noCapabilities, addCapability = noCapabilities } = host;
function noCapabilities() {
  throw new MessageError('message: capabilities cannot be used here');
}
const { freeze, setPrototypeOf, defineProperty, getOwnPropertyDescriptor, keys } = Object;
const { call, bind } = Function.prototype;
const uncurry = bind.bind(call);
const getter = (object, name) => {
  const found = getOwnPropertyDescriptor(object, name);
  return found === undefined ? undefined : uncurry(found.get);
};
const Bytes = Uint8Array;
const Buffer = ArrayBuffer;
const Int8s = Int8Array;
const Uint16s = Uint16Array;
const Int16s = Int16Array;
const Uint32s = Uint32Array;
const Int32s = Int32Array;
const Float32s = Float32Array;
const Float64s = Float64Array;
const BigUint64s = BigUint64Array;
const BigInt64s = BigInt64Array;
const TypedArray = Object.getPrototypeOf(Uint8Array);
const typedArrayTag = getter(TypedArray.prototype, Symbol.toStringTag);
const bufferOf = getter(TypedArray.prototype, 'buffer');
const byteOffsetOf = getter(TypedArray.prototype, 'byteOffset');
const byteLengthOf = getter(TypedArray.prototype, 'byteLength');
const setBytes = uncurry(TypedArray.prototype.set);
const fillWords = uncurry(TypedArray.prototype.fill);
const bufferLength = getter(ArrayBuffer.prototype, 'byteLength');
const bufferResizable = getter(ArrayBuffer.prototype, 'resizable') ?? (() => false);
const isDetached =
  getter(ArrayBuffer.prototype, 'detached') ??
  ((buffer) => {
    try {
      return new Bytes(buffer) === null;
    } catch {
      return true;
    }
  });
const isShared = (buffer) => {
  try {
    return bufferLength(buffer) < 0;
  } catch {
    return true;
  }
};
const { isView } = ArrayBuffer;
const { isArray, from: arrayFrom } = Array;
const charCodeAt = uncurry(String.prototype.charCodeAt);
const stringSlice = uncurry(String.prototype.slice);
const { fromCharCode } = String;
const { asIntN, asUintN } = BigInt;
const { isSafeInteger } = Number;
const toBigInt = BigInt;
const { iterator, toPrimitive, toStringTag } = Symbol;
const FieldError = TypeError;
const { ownKeys } = Reflect;

const DEPTH_LIMIT = 64;
const TRAVERSAL_LIMIT_WORDS = 8 * 1024 * 1024;
const MESSAGE_LIMIT_BYTES = 1024 * 1024 * 1024;
const SHORT_TEXT_BYTES = 32;

/** Adds to an array as a literal does: an index setter put on Array.prototype sees nothing. */
function append(array, value) {
  const { length } = array;
  const entry = { __proto__: null, value, writable: true, enumerable: true, configurable: true };
  defineProperty(array, length, entry);
}

if (new Bytes(new Uint32s([1]).buffer)[0] !== 1) {
  throw new Error('Isolith needs a little-endian machine');
}

/** A message that breaks the format's rules or exceeds a limit. */
class MessageError extends Error {}
defineProperty(MessageError.prototype, 'name', { value: 'MessageError' });
freeze(MessageError.prototype);
freeze(MessageError);

const malformed = (what) => new MessageError(`malformed message: ${what}`);
const outOfBounds = () => malformed('a pointer leads out of its segment');
const tooDeep = () =>
  new MessageError(`message: nested deeper than ${DEPTH_LIMIT} levels; is the value cyclic?`);

function pay(message, words) {
  if ((message.budget -= words) < 0) {
    throw new MessageError(
      `message: read more than ${message.limit} words; read a large field once and keep it`,
    );
  }
}

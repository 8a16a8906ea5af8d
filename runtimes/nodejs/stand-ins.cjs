"use strict";
/**
 * Stand-ins for those of Node's own modules that no snapshot can hold (`http` and what is built on it). While the snapshot is
 * built, a stand-in can be taken apart, extended and constructed, as code does while it is loaded; it becomes the real
 * thing when it is used after the start from the snapshot. Calling one before that throws, and there is no snapshot.
 */

let restored = false;
/** What every stand-in stands for. */
const reals = new WeakMap();

/** From now on stand-ins are what they stand for. */
function restoreStandIns() {
  restored = true;
}

/** `obtain` gets the real value; called once, after the restore. `what` names it in errors. */
function standIn(what, obtain) {
  let value;
  let obtained = false;
  const real = () => {
    if (!obtained) {
      value = obtain();
      obtained = true;
    }
    return value;
  };
  const members = new Map();
  const member = (key) => {
    if (key === Symbol.hasInstance) return isNoInstance;
    // It is no promise, no ES module in CommonJS's clothes, and no primitive.
    if (key === "then" || key === "default" || key === "__esModule" || key === Symbol.toPrimitive)
      return undefined;
    if (!members.has(key))
      members.set(
        key,
        standIn(`${what}.${String(key)}`, () => real()[key]),
      );
    return members.get(key);
  };
  const early = (act) => new Error(`${what} cannot be ${act} before the snapshot is taken`);
  // A function that can be constructed: whatever it stands for, it may be called or extended.
  const proxy = new Proxy(function () {}, {
    get: (_target, key) => (restored ? real()[key] : member(key)),
    set(_target, key, given) {
      if (!restored) throw early("changed");
      return Reflect.set(real(), key, given);
    },
    has: (_target, key) => (restored ? key in real() : true),
    apply(_target, receiver, given) {
      if (!restored) throw early("called");
      return Reflect.apply(real(), receiver, given);
    },
    construct(_target, given, newTarget) {
      const construct = () => {
        relink(newTarget);
        return Reflect.construct(real(), given, newTarget);
      };
      return restored ? construct() : standIn(`new ${what}()`, construct);
    },
    ownKeys() {
      if (!restored) throw early("listed");
      return Reflect.ownKeys(real());
    },
    getOwnPropertyDescriptor(_target, key) {
      if (!restored) throw early("looked into");
      const descriptor = Reflect.getOwnPropertyDescriptor(real(), key);
      return descriptor && { ...descriptor, configurable: true };
    },
    getPrototypeOf: () => (restored ? Reflect.getPrototypeOf(real()) : Function.prototype),
  });
  reals.set(proxy, real);
  return proxy;
}

/** Puts the real class in the place of the stand-in that a class of the function's was derived from. */
function relink(constructor) {
  if (reals.has(constructor)) return;
  for (const start of [constructor, constructor.prototype]) {
    for (let at = start, above; at; at = above) {
      above = Reflect.getPrototypeOf(at);
      const real = reals.get(above);
      if (real === undefined) continue;
      Reflect.setPrototypeOf(at, real());
      break;
    }
  }
}

/** Nothing is an instance of what nothing has been made of yet. */
function isNoInstance() {
  return false;
}

module.exports = { restoreStandIns, standIn };

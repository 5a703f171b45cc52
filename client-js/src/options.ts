/**
 * Puts `options` over `target`. What is not set leaves what was there, be it missing, `undefined` or `null`. What is no number in
 * the place of one throws: a timer would take it for 0.
 */
export const merge = (target: any, options: any): any => {
  for (const key in options) {
    const value = options[key];
    if (key == 'reconnect') merge(target[key], value);
    else if (value != null) {
      // `false` is 0.
      if (+target[key] > 1 && !(value >= 0)) throw new Error(key + ': ' + value);
      target[key] = value;
    }
  }
  return target;
};

/** The value of an option, which may be a function that gives it. */
export const asked = (value: any): any => (typeof value == 'function' ? value() : value);

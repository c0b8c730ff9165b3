let copy;

export function initialize(url) {
  copy = url;
}

export function resolve(specifier, context, next) {
  return specifier === 'ws' ? { url: copy, shortCircuit: true } : next(specifier, context);
}

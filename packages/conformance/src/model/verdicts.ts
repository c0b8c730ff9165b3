/** The target did what it must not, or did not what it must. The message says which, in a sentence. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** The case does not apply to this target. The message is the reason. */
export class Skip extends Error {
  override readonly name = 'Skip';
}

/** There is nobody to ask: no TCP connection, or none in time. A violation that says nothing of the case's matter. */
export class Unreachable extends Violation {}

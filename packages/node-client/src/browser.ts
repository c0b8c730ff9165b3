/**
 * What a bundler for browsers gets instead of this package: the client of `@ws/browser`.
 *
 * @module
 */
export * from '@ws/browser';

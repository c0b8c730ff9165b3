/**
 * The client of `@ws/browser`. A bundler for browsers gets it instead of this package.
 *
 * @module
 */
export * from '@ws/browser';

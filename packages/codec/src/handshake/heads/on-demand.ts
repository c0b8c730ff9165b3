/**
 * Reads the heads of requests and responses. Node loads the folder when one of these is first used: a
 * server on node:http uses none of them.
 *
 * @module
 */
export { RequestHead } from './request-head.ts';
export { ResponseHead } from './response-head.ts';
export { checkResponse, responseRules } from './response-rules.ts';

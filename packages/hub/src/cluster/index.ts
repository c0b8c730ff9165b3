/**
 * Runs a program with a hub on all cores of one machine, without Redis or NATS. Its processes are those
 * of `node:cluster`, and the primary connects the hubs.
 *
 * @module
 */

export type { Backplane } from '../backplane/backplane.ts';
export type { Position } from '../position.ts';
export { clusterBackplane } from './cluster-backplane.ts';
export { clusterBroker } from './cluster-broker.ts';
export { type RunClusterOptions, type RunningCluster, runCluster } from './run-cluster.ts';
export type { ClusterCloseOptions, DrainOptions } from './wire.ts';
export type { ClusterApp } from './worker.ts';

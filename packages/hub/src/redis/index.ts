export type { RedisClient } from './driver.ts';
export { type RedisBackplaneOptions, redisBackplane } from './redis-backplane.ts';

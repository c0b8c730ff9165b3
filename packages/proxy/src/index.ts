export {
  type Admission,
  type AdmitOptions,
  type AdmitOrRefuse,
  admit,
  type HeadersInput,
  type Refusal,
  type RefuseOptions,
  type ResponseRefusal,
  refuse,
  type StreamListener,
  type UpgradeListener,
} from '@ws/node-server';
export { ProxyError, type ProxyErrorCode } from './errors.ts';
export type { Forwarded } from './handshake/forwarded.ts';
export type { Mode, ProxyOptions } from './options.ts';
export type { Proxied, ProxiedInfo, ProxyAccess } from './proxied.ts';
export { createProxy, type Proxy, type ProxyCloseOptions } from './proxy.ts';
export type { Target, TargetOptions, TargetState } from './targets/target.ts';
export type { Balance, ProxyContext, TargetFunction } from './targets/target-pool.ts';
export type { EndedBy, Flow } from './tunnel/link.ts';
export type { Transform, TransformMessage } from './tunnel/message-link.ts';

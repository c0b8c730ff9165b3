import { simd } from './src/masking/simd.ts';
import { moveUnmasked } from './src/masking/move.ts';
const S = simd()!;
const inRead = S.blocks.acquire(262144)!, inTo = S.blocks.acquire(131072)!;
const outFrom = new Uint8Array(262144), outTo = new Uint8Array(131072);
const time = (f: () => void, n: number) => { const t = process.cpuUsage(); f(); const u = process.cpuUsage(t); return (u.user + u.system) * 1000 / n; };
for (const size of [2,4, 8, 12, 16, 24, 32, 64, 96, 125, 160, 256, 1024, 16384, 65536]) {
  const n = Math.ceil(2e7 / (size + 60)) ;
  const best: Record<string, number> = {};
  const mk = (to: Uint8Array, from: Uint8Array) => () => { let x = 0; for (let i = 0; i < n; i++) { const at = (i * 61) & 0xffff; if (moveUnmasked(to, 16, from, at, at + size, 0x12345678 + i)) x++; } return x; };
  const cases: Record<string, () => void> = { 'in-in': mk(inTo, inRead), 'in-out': mk(outTo, inRead), 'out-in': mk(inTo, outFrom), 'out-out': mk(outTo, outFrom) };
  const only = process.argv[2];
  for (let r = 0; r < 7; r++) for (const [name, f] of Object.entries(cases)) if (!only || name === only) best[name] = Math.min(best[name] ?? 1e9, time(f, n));
  console.log(String(size).padStart(6), Object.entries(best).map(([k, v]) => k + ' ' + v.toFixed(1)).join('  '));
}

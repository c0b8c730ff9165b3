import { main } from '../src/command-line.ts';

/** Runs `ws-conform` with these arguments. @returns Its exit code and what it prints. */
export async function run(
  ...args: readonly string[]
): Promise<{ code: number; out: string; error: string }> {
  let [out, error] = ['', ''];
  const code = await main(args, {
    out: (text) => {
      out += text;
    },
    error: (text) => {
      error += text;
    },
  });
  return { code, out, error };
}

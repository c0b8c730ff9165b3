/** Returns the first line of the stack of the error with which `make` throws or rejects. */
export async function firstStackLine(make: () => unknown): Promise<string> {
  try {
    await make();
  } catch (error) {
    return (error as Error).stack!.split(/\n +at /)[1] ?? '';
  }
  throw new Error('no error');
}

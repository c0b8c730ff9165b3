/** A new certificate for localhost. */
export async function certificate(): Promise<{ key: string; cert: string }> {
  // Takes as long to load as the rest of the command.
  const { generate } = await import('selfsigned');
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
  });
  return { key, cert };
}

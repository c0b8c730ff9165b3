import { createHash } from 'node:crypto';
import { Spec, Validation } from '@cyclonedx/cyclonedx-library';
import { describe, expect, it } from 'vitest';
import { type Manifest, publishedPackages } from '../published.ts';
import { sbomOf, sbomText } from '../sbom.ts';

const codec: Manifest = { name: '@x/codec', version: '0.1.0', license: 'MIT' };
const conn: Manifest = {
  ...codec,
  name: '@x/conn',
  dependencies: { '@x/codec': 'workspace:*', ws: '8.23.0' },
};
const cli: Manifest = {
  ...codec,
  name: '@x/cli',
  bin: { x: './x.js' },
  devDependencies: { '@x/conn': 'workspace:*', typescript: '6.0.3' },
};
const known = new Map([codec, conn, cli].map((one) => [one.name, one]));
const tarball = Buffer.from('the bytes of a tarball');

interface Bom {
  metadata: { component: { type: string; hashes: { alg: string; content: string }[] } };
  components?: { purl: string }[];
  dependencies: { ref: string; dependsOn?: string[] }[];
}

function bomOf(manifest: Manifest): Bom {
  return JSON.parse(sbomText(manifest, tarball, known)) as Bom;
}

describe('sbomText', () => {
  it('has the digest of the tarball', () => {
    const content = createHash('sha512').update(tarball).digest('hex');
    expect(bomOf(codec).metadata.component.hashes).toEqual([{ alg: 'SHA-512', content }]);
  });

  it('names what the package depends on, and what that depends on', () => {
    const { components, dependencies } = bomOf(conn);
    expect(components!.map(({ purl }) => purl)).toEqual([
      'pkg:npm/%40x/codec@0.1.0',
      'pkg:npm/ws@8.23.0',
    ]);
    expect(dependencies).toContainEqual({
      ref: '@x/conn@0.1.0',
      dependsOn: ['@x/codec@0.1.0', 'ws@8.23.0'],
    });
  });

  it('names the siblings that a command contains, and no tool of its build', () => {
    const { components, metadata } = bomOf(cli);
    expect(metadata.component.type).toBe('application');
    expect(components!.map(({ purl }) => purl)).toEqual([
      'pkg:npm/%40x/codec@0.1.0',
      'pkg:npm/%40x/conn@0.1.0',
      'pkg:npm/ws@8.23.0',
    ]);
  });

  const published = publishedPackages().map(({ manifest }) => manifest);
  const all = new Map(published.map((one) => [one.name, one]));
  const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);

  it.each(published)('of $name is valid CycloneDX, and the same each time', async (manifest) => {
    const text = sbomText(manifest, tarball, all);
    expect(await validator.validate(text)).toBeNull();
    expect(sbomText(manifest, tarball, all)).toBe(text);
    expect(text).not.toMatch(/workspace:|timestamp|serialNumber/);
    expect(sbomOf(manifest)).toMatch(/^ws-[a-z-]+-\d+\.\d+\.\d+\.cdx\.json$/);
  });
});

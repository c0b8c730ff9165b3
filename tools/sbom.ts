// A software bill of materials of a tarball, in CycloneDX 1.6. It has no time and no random number: the same tarball
// always gets the same file.
import { createHash } from 'node:crypto';
import { Enums, Models, Serialize, Spec } from '@cyclonedx/cyclonedx-library';
import { PackageURL } from 'packageurl-js';
import { type Manifest, tarballOf } from './published.ts';

/** The name of the file beside the tarball. */
export function sbomOf(manifest: Manifest): string {
  return tarballOf(manifest).replace(/\.tgz$/, '.cdx.json');
}

/**
 * The bill of materials of a package: its tarball, and every package that it depends on or contains.
 *
 * @param known - The packages of the workspace by name. Of another package only the version is known.
 */
export function sbomText(
  manifest: Manifest,
  tarball: Uint8Array,
  known: ReadonlyMap<string, Manifest>,
): string {
  const components = new Map<string, Models.Component>();
  const add = (name: string, range: string): Models.Component => {
    const found = components.get(name);
    if (found !== undefined) return found;
    const own = known.get(name) ?? { name, version: range };
    const component = componentOf(own);
    components.set(name, component);
    for (const [other, version] of neededBy(own)) {
      component.dependencies.add(add(other, version).bomRef);
    }
    return component;
  };
  const component = add(manifest.name, manifest.version!);
  const sha512 = createHash('sha512').update(tarball).digest('hex');
  component.hashes.set(Enums.HashAlgorithm['SHA-512'], sha512);
  components.delete(manifest.name);
  const bom = new Models.Bom({
    metadata: new Models.Metadata({ component }),
    components: new Models.ComponentRepository(components.values()),
  });
  const normalizer = new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6);
  const serializer = new Serialize.JsonSerializer(normalizer);
  return `${serializer.serialize(bom, { sortLists: true, space: 2 })}\n`;
}

/** What a package depends on. A command contains its siblings, which are development dependencies then. */
function neededBy({ dependencies = {}, devDependencies = {} }: Manifest): [string, string][] {
  const contained = Object.entries(devDependencies).filter(([, range]) =>
    range.startsWith('workspace:'),
  );
  return [...Object.entries(dependencies), ...contained];
}

function componentOf({ name, version = '', license, bin }: Manifest): Models.Component {
  const [scope, short] = name.startsWith('@') ? name.split('/') : [undefined, name];
  const type = bin === undefined ? Enums.ComponentType.Library : Enums.ComponentType.Application;
  const component = new Models.Component(type, short, {
    group: scope,
    version,
    purl: new PackageURL('npm', scope, short, version).toString(),
    bomRef: `${name}@${version}`,
  });
  if (license !== undefined) component.licenses.add(new Models.SpdxLicense(license));
  return component;
}

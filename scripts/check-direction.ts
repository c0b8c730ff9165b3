// Fails with a list when an import or a package.json goes against the direction of dependencies.
import { directionFaults } from './direction.ts';

const faults = directionFaults(process.cwd());
for (const fault of faults) console.error(fault);
console.log(
  `direction of dependencies: ${faults.length === 0 ? 'kept' : `${faults.length} faults`}`,
);
process.exitCode = faults.length === 0 ? 0 : 1;

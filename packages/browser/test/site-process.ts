// A site in a process of its own, which a test stops.
import { startSite } from './page-site.ts';

const site = await startSite();
console.log(site.url);

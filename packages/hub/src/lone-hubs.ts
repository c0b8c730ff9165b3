/** The hubs without a backplane in this process. */
export interface LoneHubs {
  count: number;
  /** Called for each that is created. */
  added: () => void;
}

const LONE_HUBS: unique symbol = /* @__PURE__ */ Symbol.for('@ws/hub: lone hubs');

/** Kept for the process, because each module format of this package has its own copy of its modules. */
export function loneHubs(): LoneHubs {
  const owner = globalThis as { [LONE_HUBS]?: LoneHubs };
  return (owner[LONE_HUBS] ??= { count: 0, added: () => {} });
}

/** Counts a hub. */
export function addLoneHub(): void {
  const lone = loneHubs();
  lone.count++;
  lone.added();
}

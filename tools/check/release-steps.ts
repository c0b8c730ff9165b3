// What a maintainer does by hand for a release, in order.

/** What the tree says about the steps. */
export interface State {
  readonly scope: string;
  /** `repository.url` of the packages. */
  readonly repository: string | undefined;
  /** Changesets that no version has yet. */
  readonly changesets: readonly string[];
  /** In an order in which each one comes after those that it depends on. */
  readonly tarballs: readonly string[];
  /** Whether MAINTAINERS.md and security.txt name somebody. */
  readonly isFilledIn: boolean;
}

/** A step, and why the release has to wait for it. */
export interface Step {
  readonly title: string;
  readonly lines: readonly string[];
  /** Undefined when the tree has it, or cannot know. */
  readonly open?: string | undefined;
}

/** The steps of the first release. Later ones start at the changesets. */
export function stepsOf({ scope, repository, changesets, tarballs, isFilledIn }: State): Step[] {
  return [
    {
      title: `Own the npm scope ${scope}, or choose another.`,
      lines: [
        `Log in to npmjs.com with two-factor authentication and create the organization "${scope.slice(1)}".`,
        'If it belongs to others, choose another scope, write it into tools/scope.json, and replace it:',
        `  git grep -lz ${scope}/ | xargs -0 sed -i 's#${scope}/#@yours/#g'`,
        'then: pnpm install, pnpm format, pnpm test, and a commit.',
      ],
    },
    {
      title: 'Set the repository, which provenance names.',
      lines: [
        repository === undefined
          ? 'Write repository.url and repository.directory into each package.json: pnpm release checks both.'
          : `It is ${repository}.`,
      ],
      open:
        repository === undefined
          ? 'no package.json has a repository, so npm rejects provenance'
          : undefined,
    },
    {
      title: 'Turn the changesets into a version and its changelogs.',
      lines:
        changesets.length === 0
          ? ['None waits.']
          : [
              `${changesets.length} wait: ${changesets.join(', ')}.`,
              'Merge the pull request "Version packages" of the workflow release, or run pnpm run version and commit.',
            ],
      open:
        changesets.length === 0
          ? undefined
          : `no version has ${changesets.length === 1 ? 'a changeset' : `${changesets.length} changesets`} of .changeset`,
    },
    {
      title: 'Protect the repository on GitHub.',
      lines: [
        'Settings, Environments: create "npm" with required reviewers, for the branch main alone.',
        'Settings, Rules: protect main against direct pushes.',
        'Settings, Actions: allow GitHub Actions to create pull requests.',
        'Settings, Security: enable private vulnerability reports, which SECURITY.md names.',
      ],
    },
    {
      title:
        'Publish each package once by hand, because npm accepts a trusted publisher only then.',
      lines: [
        'Run pnpm release without --dry-run, npm login, and in this order:',
        // npm makes a provenance only in a workflow.
        ...tarballs.map(
          (name) => `  npm publish .out/pack/${name} --access public --provenance=false`,
        ),
      ],
    },
    {
      title: 'Let the workflow publish from then on, without a token.',
      lines: [
        'On npmjs.com, for each package, Settings, Trusted publisher: GitHub Actions, the repository,',
        'workflow release.yml, environment npm. Then "Require two-factor authentication and disallow tokens".',
      ],
    },
    {
      title: 'Sign the tags, after each release: no key is stored in the workflow.',
      lines: [
        'git verify-commit HEAD, then for each tarball of .out/pack:',
        "  git tag -s -m '' @ws/conn@0.1.0 && git push origin @ws/conn@0.1.0".replaceAll(
          '@ws',
          scope,
        ),
      ],
    },
    {
      title: 'Fill in who answers.',
      lines: [
        'Names and addresses in MAINTAINERS.md, and Contact in docs/public/.well-known/security.txt.',
      ],
      open: isFilledIn ? undefined : 'MAINTAINERS.md or security.txt names nobody',
    },
    {
      title: 'Say where to get it.',
      lines: [
        'Replace "not on npm yet" and the tarballs in README.md, "Install", and in the packages.',
      ],
    },
  ];
}

/** The steps as text. */
export function textOf(steps: readonly Step[]): string {
  return steps
    .map(({ title, lines, open }, i) => {
      const mark = open === undefined ? '' : ' (open)';
      return [`${i + 1}. ${title}${mark}`, ...lines.map((line) => `   ${line}`)].join('\n');
    })
    .join('\n');
}

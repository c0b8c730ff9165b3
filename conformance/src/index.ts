export type { RequestSettings, TlsSettings } from './attempts/server-attempt.ts';
export type { CaseFacts, CaseResult, Level, TranscriptLine, Verdict } from './model/case.ts';
export { CHAPTERS } from './model/chapter.ts';
export type { Weight } from './model/weights.ts';
export { badgeReport } from './report/badge.ts';
export {
  type Expectations,
  expectationsOf,
  unexpectedOf,
} from './report/expectations.ts';
export {
  type Finding,
  type FindingCounts,
  findingCountsOf,
  findingsOf,
} from './report/findings.ts';
export { githubReport } from './report/github.ts';
export { htmlReport } from './report/html.ts';
export { type JsonFacts, jsonReport } from './report/json.ts';
export { junitReport } from './report/junit.ts';
export { summaryReport } from './report/summary.ts';
export { type TextOptions, textReport } from './report/text.ts';
export { NotAskedError } from './run/client-command.ts';
export { type ProbeOptions, probeServer } from './run/probe.ts';
export { type ClientSuiteOptions, clientSuiteCases, runClientSuite } from './run/run-client.ts';
export { runServerSuite, type ServerSuiteOptions, serverSuiteCases } from './run/run-server.ts';
export type { Capability, SuiteOptions, SuiteReport } from './run/suite-report.ts';

export type { CaseFacts, CaseResult, Level, TranscriptLine, Verdict } from './model/case.ts';
export { CHAPTERS } from './model/chapter.ts';
export { htmlReport } from './report/html.ts';
export { jsonReport } from './report/json.ts';
export { textReport } from './report/text.ts';
export { type ClientSuiteOptions, clientSuiteCases, runClientSuite } from './run/run-client.ts';
export { runServerSuite, type ServerSuiteOptions, serverSuiteCases } from './run/run-server.ts';
export type { SuiteOptions, SuiteReport } from './run/suite-report.ts';

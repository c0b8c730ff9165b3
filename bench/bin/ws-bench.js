#!/usr/bin/env node
// Committed, so that an unbuilt workspace can link the command.
import '../dist/cli.js';

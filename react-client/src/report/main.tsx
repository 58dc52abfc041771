import './fonts.css';
import '../app/tokens.css';
import '../app/page.css';
import '../app/forced-colors.css';

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { applyRememberedTheme } from '../app/theme';
import { ErrorBoundary } from '../components/error-boundary';
import { embeddedReport } from './embedded-report';
import { printInLight } from './print';
import { Report } from './report';

applyRememberedTheme();
printInLight();

const root = document.getElementById('root');
if (root === null) throw new Error('report.html has no element with the id "root"');
createRoot(root).render(
  <StrictMode>
    <ErrorBoundary part="The report">
      <Report report={embeddedReport(document)} />
    </ErrorBoundary>
  </StrictMode>,
);

import { render } from 'preact';
import 'uplot/dist/uPlot.min.css';
import './style/theme.css';
import './style/base.css';
import './style/parts.css';
import { startLink } from './link.ts';
import { startTheme } from './theme.ts';
import { App } from './ui/app.tsx';

startTheme();
render(<App />, document.getElementById('app')!);
startLink();

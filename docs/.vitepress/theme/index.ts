import type { Theme } from 'vitepress';
import DefaultTheme from 'vitepress/theme';
import './style.css';
import { showTypes } from './types.ts';

const theme: Theme = {
  extends: DefaultTheme,
  enhanceApp({ router }) {
    if (typeof document === 'undefined') return;
    showTypes();
    // The front page of the default theme has no main landmark; all other pages have one inside.
    router.onAfterRouteChange = () => {
      const front = router.route.data.frontmatter['layout'] === 'home';
      const content = document.getElementById('VPContent');
      if (front) content?.setAttribute('role', 'main');
      else content?.removeAttribute('role');
    };
  },
};

export default theme;
